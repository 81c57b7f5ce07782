"""Microsoft's host names, and the addresses that the emulator hands out.

A request that comes for one of Microsoft's hosts (a test's adapter sends it to the emulator's port, and leaves ``Host``
as it was) is answered with ``https`` addresses of Microsoft's hosts. One that comes for the loopback address is
answered with addresses of the emulator's ports, so that any program can follow them.
"""

from __future__ import annotations

from dataclasses import dataclass

GLOBAL_SIGN_IN = "login.microsoftonline.com"

# Host of the sign-in -> hosts of Graph for which it gives tokens.
CLOUDS = {
    GLOBAL_SIGN_IN: ("graph.microsoft.com",),
    "login.microsoftonline.us": ("graph.microsoft.us", "dod-graph.microsoft.us"),
    "login.chinacloudapi.cn": ("microsoftgraph.chinacloudapi.cn",),
}
GRAPH_HOSTS = frozenset(host for hosts in CLOUDS.values() for host in hosts)
UPLOAD_HOST = "emulated-uploads.sharepoint.com"
DOWNLOAD_HOST = "emulated-downloads.sharepoint.com"

SERVICES = ("sign_in", "graph", "upload", "download")


@dataclass(frozen=True)
class Addresses:
    """The ports of the services, by name."""

    ports: dict[str, int]

    def hosts(self) -> dict[str, int]:
        """The port for each host of Microsoft."""
        return {
            **dict.fromkeys(CLOUDS, self.ports["sign_in"]),
            **dict.fromkeys(GRAPH_HOSTS, self.ports["graph"]),
            UPLOAD_HOST: self.ports["upload"],
            DOWNLOAD_HOST: self.ports["download"],
        }

    def base(self, service: str, asked_host: str) -> str:
        """The beginning of an address of this service, for a client that asked this host."""
        if asked_host not in self.hosts():
            return f"http://127.0.0.1:{self.ports[service]}"
        if service == "upload":
            return f"https://{UPLOAD_HOST}"
        if service == "download":
            return f"https://{DOWNLOAD_HOST}"
        return f"https://{asked_host}"
