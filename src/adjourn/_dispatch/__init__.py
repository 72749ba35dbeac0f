"""The choice: which connector serves a call. A pure rule, the state it is about, who carries its plans out, and the bridge to an event loop."""
