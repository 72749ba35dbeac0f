from django.db import models


class MyModel(models.Model):
    id = models.BigAutoField(primary_key=True)
    name = models.TextField()
