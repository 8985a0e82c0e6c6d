"""Views of a state through which everything can be read and nothing changed (semantics, 3.3).

``on_state_change`` gets one, so that a change raises ``actor.state_mutation_reentrant`` at the
offending statement. Values are looked at where they are, not copied: a view costs the same
however large the state is. What nobody can change is returned as it is.
"""

from __future__ import annotations

from . import container_views, object_views  # they say which views there are
from .views import read_only, unwrap, unwrap_all

__all__ = ["container_views", "object_views", "read_only", "unwrap", "unwrap_all"]
