// Keeps the models a page has sent, so that they need not come again with every change of what is done with them. It has
// nothing to show.

export default function ({ data: [models] }) {
  globalThis.labModels = new Map(models.map((packed) => [packed.digest, packed]))
  globalThis.dispatchEvent(new Event("lab-models"))
}
