update @schema.adjourn_procrastinate set forwarding = false
