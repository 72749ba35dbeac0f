from adjourn.contrib.django import app
from mypackage.models import MyModel


@app.task
def mytask1(obj_pk):
    obj = MyModel.objects.get(pk=obj_pk)
    obj.name = "seen by mytask1"
    obj.save()


@app.task
async def mytask2(obj_pk):
    obj = await MyModel.objects.aget(pk=obj_pk)
    obj.name = "seen by mytask2"
    await obj.asave()


side_effects = []


@app.task(name="my_task")
def my_task(a, b):
    side_effects.append(a + b)
