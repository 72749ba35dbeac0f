from django.http import HttpResponse

from mypackage.models import MyModel
from mypackage.tasks import mytask1, mytask2


def myview(request):
    obj = MyModel.objects.create(name="new")
    mytask1.defer(obj_pk=obj.pk)
    return HttpResponse()


async def myasyncview(request):
    obj = await MyModel.objects.acreate(name="new")
    await mytask2.defer_async(obj_pk=obj.pk)
    return HttpResponse()
