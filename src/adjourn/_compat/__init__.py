"""Code that only keeps programs written for Procrastinate working. Each module says what it is for.

Some names for those programs stand where their classes are, since lower rooms cannot import from here:

* `ProcrastinateException` and the errors that are never raised (`exceptions`), `JobToDefer` (`types`), `get_retry_strategy` and
  `BaseRetryStrategy.get_schedule_in` (`retry`);
* `Engine`, `Pool` and `Notify`, `BaseConnector.listen_notify` and the ``execute_query`` methods (`connectors.base`);
* `Task.full_path`, `Task.add_namespace` (`tasks`) and `JobContext.queues_display` (`app`).
"""
