"""What an explanation looks like: text, HTML and heat map.

Of the HTML report, ``templates/`` has the words and ``report.css`` the look.
"""
