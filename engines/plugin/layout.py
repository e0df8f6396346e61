"""The attention operator by name and attributes: what the exporter writes, the builder reads, the library implements.

``plugin.yaml`` beside this is the same contract for people and other tools; a test holds the two together.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

# Positions of the node's inputs. Both tables, or neither.
INPUTS = ("query", "key", "value", "temperature", "rel_pos_h", "rel_pos_w")


@dataclass(frozen=True)
class AttentionLayout:
    """Where one attention finds its heads: the node's attributes, all INT.

    num_heads, head_dim: head h owns the channels h * head_dim .. (h + 1) * head_dim - 1.
    query_offset, key_offset, value_offset: the first channel of head 0, so that a packed projection needs no copy.
    grid_height, grid_width: rows and columns of the tokens where there are relative positions, otherwise 0.
    """

    num_heads: int
    head_dim: int
    query_offset: int = 0
    key_offset: int = 0
    value_offset: int = 0
    grid_height: int = 0
    grid_width: int = 0

    @property
    def width(self) -> int:
        """Channels of the output."""
        return self.num_heads * self.head_dim

    @property
    def relative(self) -> bool:
        """Whether the node has relative positions."""
        return self.grid_height > 0

    def attributes(self) -> dict[str, Any]:
        """By the names the node has them under, all int."""
        return dataclasses.asdict(self)
