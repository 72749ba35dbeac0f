select what, count(*) as times, max(message) as message from @schema.adjourn_procrastinate_problems group by what order by what
