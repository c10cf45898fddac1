'use strict';
// Rows of targets unfold in place. Without this script their links lead to pages.
{
    function unfold(link) {
        const row = document.getElementById(link.getAttribute('aria-controls'));
        const isOpen = link.getAttribute('aria-expanded') === 'true';
        link.setAttribute('aria-expanded', String(!isOpen));
        row.hidden = isOpen;
        if (!isOpen && !row.dataset.isLoaded) {
            htmx.ajax('GET', link.getAttribute('href'), {
                source: link,
                target: row.cells[0],
                swap: 'innerHTML',
            }).then(function() {
                row.dataset.isLoaded = 'yes';
            });
        }
    }

    document.addEventListener('click', function(event) {
        const link = event.target.closest('.ele-op-unfold');
        const isPlain = !(event.ctrlKey || event.metaKey || event.shiftKey);
        if (link && isPlain) {
            event.preventDefault();
            unfold(link);
        }
    });

    document.addEventListener('DOMContentLoaded', function() {
        document.querySelectorAll('.ele-op-unfold').forEach(function(link) {
            link.setAttribute('aria-expanded', 'false');
        });
        // An address that ends in a target's name shows its steps at once.
        const named = /^#target-\d+$/.test(location.hash)
            && document.querySelector(`${location.hash} .ele-op-unfold`);
        if (named) {
            unfold(named);
        }
    });
}
