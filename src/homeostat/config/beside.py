"""The `shadow` section of the app file: the process that a server starts for a challenger, and its bounds."""

from __future__ import annotations

from pydantic import Field

from homeostat.config.scalars import Duration, Node, duration_ns


class ShadowOptions(Node):
    """The process that a server or worker starts while there is a challenger."""

    start: bool = Field(default=True, description="whether it is started by itself; else run homeostat shadow")
    memory_mb: int = Field(
        default=512, ge=256, le=1 << 20, description="the most memory that it may have; beyond it, it is started again"
    )
    hang: Duration = Field(
        default=duration_ns("2m"), description="without a sign of life for so long, it is killed and started again"
    )
