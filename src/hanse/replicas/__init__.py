"""Replicas: who may hold which role when, and the walks that get there. Pure: time is an argument.

Orders are levels, a cut-over is an edge; this is how they meet (`level.judge` decides it at a site):

1. What a site wrote durably in a cut-over outranks every order with a lower epoch. A source that
   relinquished epoch e answers an order `primary(e)` with its truth: role `fenced`, epoch e, the
   relinquishment. A target that serves e+1 keeps serving under an older order `standby(e)`.
2. A stateful `primary(e+1)` with `handed_over_from=e` is held only with a relinquishment of e to this
   site in hand; until then the site waits as `standby` and asks the source (and the hub relays it in
   `TicketOrder.relinquishment`). `handed_over_from=None` is the first deploy only.
3. A primary becomes `standby`, for any epoch, and anything else for a later epoch than its own, only
   after it relinquished its own: nobody else's word that it was handed over counts.
4. A standby reports `clients` and `followers` before it serves: its ports are reserved when it begins,
   because the ticket and the prepared routes name them.
5. The hub learns of a cut-over from whichever side speaks first: the source's relinquishment (in
   `CutOverState` or `ReplicaState`) or the target serving e+1. After either it issues only
   `primary(e+1)` to the target, never again `primary(e)` to the source.
6. The hub undoes a move only after the source's own word that the ticket is aborted; silence of the
   source is waited out, because the source alone decides.
"""
