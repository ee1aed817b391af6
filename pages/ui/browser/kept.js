// What the component `keeper.js` keeps for others on the page: models, pictures and replays, by their digests.

// Call `use(packed)` as soon as what has this digest is there; `wanted()` says whether anybody still waits for it.
function whenKept(digest, wanted, use) {
  const look = () => {
    const packed = globalThis.labKept?.get(digest)
    if (wanted() && !packed) return
    globalThis.removeEventListener("lab-kept", look)
    if (wanted()) use(packed)
  }
  globalThis.addEventListener("lab-kept", look)
  look()
}
