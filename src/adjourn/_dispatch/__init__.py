"""Which connector serves a call: the rule (pure), the state, the dispatcher that carries plans out, and the bridge."""
