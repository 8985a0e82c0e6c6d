"""Which errors a caller may see whole, by identity (client-protocol, 9.3)."""

from __future__ import annotations

RUNTIME_GROUPS = frozenset(
    {
        "actor",
        "api",
        "auth",
        "client",
        "connection",
        "core",
        "datacenter",
        "encoding",
        "feature",
        "guard",
        "handler",
        "inspector",
        "kv",
        "message",
        "namespace",
        "protocol",
        "queue",
        "request",
        "rivetkit",
        "schedule",
        "sqlite",
        "storage",
        "validation",
        "workflow",
        "ws",
    }
)
"""Groups that belong to stator and its peers; any other group is the application's own."""

PUBLIC_GROUPS = frozenset({"user", "schedule", "kv", "storage", "validation", "workflow"})
"""Groups whose errors pass whole."""

PUBLIC_CODES = frozenset(
    {
        "auth.forbidden",
        "auth.unauthorized",
        "actor.not_found",
        "actor.not_registered",
        "actor.action_not_found",
        "actor.method_not_allowed",
        "actor.action_timed_out",
        "actor.callback_timed_out",
        "actor.aborted",
        "actor.invalid_request",
        "actor.validation_error",
        "actor.state_not_enabled",
        "actor.vars_not_enabled",
        "actor.state_not_serializable",
        "actor.output_not_serializable",
        "actor.state_mutation_reentrant",
        "actor.destroyed_during_creation",
        "actor.duplicate_key",
        "actor.restarting",
        "actor.stopping",
        "actor.destroying",
        "actor.overloaded",
        "actor.empty_key",
        "actor.key_too_large",
        "actor.input_too_large",
        "message.incoming_too_long",
        "message.outgoing_too_long",
        "guard.actor_ready_timeout",
        "guard.service_unavailable",
        "queue.full",
        "queue.message_too_large",
        "queue.message_invalid",
        "queue.invalid_payload",
        "queue.invalid_completion_payload",
        "queue.already_completed",
        "queue.previous_message_not_completed",
        "queue.complete_not_configured",
        "queue.timed_out",
    }
)
"""``group.code`` of the other errors that pass whole."""
