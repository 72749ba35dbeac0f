"""Tells systemd how a worker is, by its protocol: datagrams to the socket that ``NOTIFY_SOCKET`` names."""

from __future__ import annotations

import os
import socket

from adjourn._domain.health import Health


class Manager:
    """The service manager that has started this process and wants to be told.

    Parameters
    ----------
    address
        The address of its socket.
    is_watching
        Whether it restarts the process if it is not told for some time.
    """

    def __init__(self, address: str, *, is_watching: bool) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._is_watching = is_watching
        self._told: dict[str, str] = {}

    @classmethod
    def of_this_process(cls) -> Manager | None:
        """Return the manager that the environment names, or None."""
        address = os.environ.get("NOTIFY_SOCKET", "")
        watched = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        return cls(address, is_watching=watched and "WATCHDOG_USEC" in os.environ) if address else None

    def tell(self, health: Health, *, is_stopping: bool) -> None:
        """Say how the worker is.

        Parameters
        ----------
        health
            How it is. As long as a restart would be of no use, the watchdog is fed.
        is_stopping
            Whether it was asked to stop.

        Raises
        ------
        OSError
            If nobody hears it.
        """
        wrong = "; ".join(each.says for each in health.conditions if each.says)
        lines = {"STATUS": wrong or "running jobs"}
        if health.is_ready:
            lines["READY"] = "1"
        if is_stopping:
            lines["STOPPING"] = "1"
        news = [f"{name}={value}" for name, value in lines.items() if self._told.get(name) != value]
        self._told.update(lines)
        if health.is_live and self._is_watching:
            news.append("WATCHDOG=1")
        if news:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.connect(self._address)
                sender.sendall("\n".join(news).encode())
