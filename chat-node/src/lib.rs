//! Chat rooms on SQL content storage; compliance events leave by the outbox.
