"""A backend in Django, in one file: an order is handled by a task, a moment later."""

from __future__ import annotations

import os

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from timeball.client import Timeball
from timeball.receivers import Call, Receiver
from timeball.receivers.django import handler

PORT = int(os.environ.get("PORT", "3000"))

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["localhost"],
    SECRET_KEY=os.environ.get("SECRET_KEY", "for this example alone"),
)
timeball = Timeball()  # TIMEBALL_URL and TIMEBALL_KEY
receiver = Receiver(secrets=[os.environ["TIMEBALL_SIGNING_SECRET"]])


@csrf_exempt
@require_POST
def order(request: HttpRequest) -> JsonResponse:
    task = timeball.tasks.create(f"http://localhost:{PORT}/hook", body=request.body.decode())
    return JsonResponse({"task": task.id})


@handler(receiver)
def hook(call: Call) -> None:
    print("handled", call.text, flush=True)


urlpatterns = [path("orders", order), path("hook", hook)]

if __name__ == "__main__":
    django.setup()
    execute_from_command_line(["app.py", "runserver", "--noreload", f"localhost:{PORT}"])
