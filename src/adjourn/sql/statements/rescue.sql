select * from @schema.adjourn_rescue_v1(%(max_losses)s, make_interval(secs => %(grace)s), %(by)s::text, %(how)s::text)
