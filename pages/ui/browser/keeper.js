// Keeps what a page has sent, models, pictures and replays, so that it need not come again with every change of what is
// done with it. Each has a `digest`. There may be several on a page. It has nothing to show.

const sent = new Map() // element on the page -> what it brought

export default function ({ parentElement, data: [things] }) {
  for (const element of sent.keys()) if (!element.isConnected) sent.delete(element)
  sent.set(parentElement, things)
  globalThis.labKept = new Map([...sent.values()].flat().map((packed) => [packed.digest, packed]))
  globalThis.dispatchEvent(new Event("lab-kept"))
}
