# A worker as a script of its own.
import django
from adjourn.contrib.django import app


def main():
    django.setup()
    with app.replace_connector(app.connector.get_worker_connector()):
        app.run_worker(wait=False)


if __name__ == "__main__":
    main()
