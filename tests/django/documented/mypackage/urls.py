from django.urls import path

from mypackage import views

urlpatterns = [path("sync/", views.myview), path("async/", views.myasyncview)]
