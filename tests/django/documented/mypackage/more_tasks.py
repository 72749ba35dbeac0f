from adjourn.contrib.django import app


@app.task(name="imported")
def imported():
    pass
