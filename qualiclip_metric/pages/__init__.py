"""Self-contained HTML: thumbnails as data URIs, cards of images, the page that holds them."""
