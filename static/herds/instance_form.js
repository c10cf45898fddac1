/* Offers only servers of the chosen herd's environment when an instance is added.
   Without this script all servers are offered, and a wrong one is refused. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
    const herd = document.getElementById("id_herd");
    const server = document.getElementById("id_server");
    if (!herd || !server || herd.tagName !== "SELECT") {
        return;
    }
    const all = Array.from(server.options);

    function offer() {
        const chosen = herd.selectedOptions[0];
        const kept = server.value;
        const environment = chosen?.value ? chosen.dataset.environment ?? "" : null;
        const offered = all.filter((option) => (
            option.value === ""
            || environment === null
            || (option.dataset.environment ?? "") === environment
        ));
        server.replaceChildren(...offered);
        server.value = offered.some((option) => option.value === kept) ? kept : "";
    }

    herd.addEventListener("change", offer);
    offer();
});
