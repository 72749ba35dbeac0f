"""Changes programs of Procrastinate into programs of adjourn: `names` is what is known of both, `rewriting` changes a
module, `findings` finds what people have to look at, `other_files` does so for files that are not Python, and `programs`
goes through folders. All of it needs libcst.
"""
