import adjourn as procrastinate

some_blueprint = procrastinate.Blueprint()


@some_blueprint.task(name="of_a_blueprint")
def of_a_blueprint():
    pass


def on_app_ready(app: procrastinate.App):
    app.add_tasks_from(some_blueprint, namespace="some")
