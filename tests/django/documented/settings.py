# The settings of a project as Procrastinate's documentation has it, with the names of adjourn.
import os

from psycopg.conninfo import conninfo_to_dict

place = conninfo_to_dict(os.environ["DATABASE_DSN"])
SECRET_KEY = "no secret"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": place["dbname"],
        "USER": place.get("user", ""),
        "PASSWORD": place.get("password", ""),
        "HOST": place.get("host", ""),
        "PORT": place.get("port", ""),
    }
}
INSTALLED_APPS = ["adjourn.contrib.django", "mypackage"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "mypackage.urls"
ALLOWED_HOSTS = ["*"]
USE_TZ = True

ADJOURN_ON_APP_READY = "mypackage.procrastinate.on_app_ready"
ADJOURN_AUTODISCOVER_MODULE_NAME = "tasks"
ADJOURN_IMPORT_PATHS = ["mypackage.more_tasks"]
ADJOURN_DATABASE_ALIAS = "default"
ADJOURN_WORKER_DEFAULTS = {"concurrency": 2}
ADJOURN_PERIODIC_DEFAULTS = {"max_delay": 86400}
ADJOURN_READONLY_MODELS = True
