select * from @schema.adjourn_rescue_v2(%(max_losses)s, make_interval(secs => %(grace)s))
