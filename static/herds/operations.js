'use strict';
// Rows of targets unfold in place, and a plan is seen to expire. Without this script
// the links of rows lead to pages, and a plan says when it expires.
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

    function inWords(seconds) {
        if (seconds < 90) {
            return `in ${Math.max(0, Math.ceil(seconds))} s`;
        }
        return seconds < 5400 ? `in ${Math.floor(seconds / 60)} min`
            : `in ${Math.floor(seconds / 3600)} h`;
    }

    // The seconds left come from the server: its clock counts, not this one.
    function countDown(expiry) {
        const end = Date.now() + 1000 * Number(expiry.dataset.expiresIn);
        const timer = setInterval(function() {
            const left = (end - Date.now()) / 1000;
            expiry.querySelector('.ele-op-left').textContent = inWords(left);
            if (left <= 0) {
                clearInterval(timer);
                expire(expiry);
            }
        }, 1000);
    }

    function expire(expiry) {
        const instead = document.getElementById('operation-expired').content;
        const status = document.createElement('div');
        status.setAttribute('role', 'alert');
        expiry.replaceWith(status);
        status.append(instead);
        const yes = document.querySelector('#operation-yes input[type="submit"]');
        if (yes) {
            yes.disabled = true;
        }
    }

    // On paper nothing can be unfolded any more.
    window.addEventListener('beforeprint', function() {
        document.querySelectorAll('.ele-op-checks:not([open])').forEach(function(checks) {
            checks.open = true;
            checks.dataset.isForPaper = 'yes';
        });
    });
    window.addEventListener('afterprint', function() {
        document.querySelectorAll('[data-is-for-paper]').forEach(function(checks) {
            checks.open = false;
            delete checks.dataset.isForPaper;
        });
    });

    document.addEventListener('DOMContentLoaded', function() {
        const expiry = document.getElementById('operation-expiry');
        if (expiry) {
            countDown(expiry);
        }
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
