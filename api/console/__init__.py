"""The console: pages for people at `/console`, served by the API from its own functions.

A page is one file in `pages/` and one template in `templates/`:

1. Write a handler that returns `page(request, "things.html", things=…)`, with the guard of the API's own operation:
   `@get("/things", guards=[needs("catalogue:read")], sync_to_thread=True)`. Parameters of the query are the page's
   filters, so that an address shows the same view to a colleague.
2. Read through the stores and call the functions of the API's handlers (`manual_prices.begin(…)`): the console has no
   rules of its own. Its calls run on the console's threads, and `services.transaction()` uses its connections.
3. A form sends `POST`. `layout.html`'s macro `form` adds the CSRF token, which is checked before the handler. The
   handler takes `form: Form`, reads it by `form.read(Body)`, where `Body` is the struct of the API, and answers
   `back(path, "note")`. Where that raises a PricingError, it renders its page again with `form.failed(error)`; the
   macro `field` shows the problem at its field, with what was typed.
4. Name the page in `navigation.PAGES`, with its scope, and its router's handlers in `site.HANDLERS`.

Templates have no scripts and no inline styles: the Content-Security-Policy refuses both. `parts.html` has the macros of
tables, pagers, times and amounts.
"""
