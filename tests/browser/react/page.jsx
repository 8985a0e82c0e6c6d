// Components over the official React package: ?service=http://host:port&mine=key&other=key

import { createRivetKit } from "@rivetkit/react";
import { useEffect, useState } from "react";
import { createRoot } from "react-dom/client";

const parameters = new URLSearchParams(location.search);
const { useActor } = createRivetKit({ endpoint: parameters.get("service"), devtools: false });

/** Shows a count: first from an action, then from events. */
function Counter({ id, counterKey }) {
    const { connection, connStatus, useEvent } = useActor({ name: "counter", key: [counterKey] });
    const [count, setCount] = useState(null);
    useEvent("changed", setCount);
    useEffect(() => {
        if (connStatus === "connected") connection.get().then(setCount, console.warn);
    }, [connection, connStatus]);
    return (
        <p id={id}>
            <output>{count ?? "?"}</output>
            <button onClick={() => connection.increment(1)}>add</button>
        </p>
    );
}

/** Two of one counter, which can be taken away, and one of another. */
function Page() {
    const [both, setBoth] = useState(true);
    return (
        <>
            <Counter id="first" counterKey={parameters.get("mine")} />
            {both && <Counter id="second" counterKey={parameters.get("mine")} />}
            <Counter id="other" counterKey={parameters.get("other")} />
            <button id="fewer" onClick={() => setBoth(false)}>
                fewer
            </button>
        </>
    );
}

createRoot(document.getElementById("root")).render(<Page />);
