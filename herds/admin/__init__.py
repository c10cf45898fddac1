"""The admin's menus; importing them registers them with the site."""
