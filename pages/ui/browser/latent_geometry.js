// Codes as arrows: planes through them, lines between them, the nearest of them. Knows nothing of pictures or the screen.

// A plane: {origin, across, up}, each of as many numbers as a code. The code at (x, y) is origin + x across + y up.
function onPlane({ origin, across, up }, [x, y]) {
  return origin.map((value, i) => value + x * across[i] + y * up[i])
}

// Where a code lies in a plane whose directions are orthonormal.
function projected({ origin, across, up }, code) {
  let x = 0
  let y = 0
  for (let i = 0; i < origin.length; i++) {
    x += (code[i] - origin[i]) * across[i]
    y += (code[i] - origin[i]) * up[i]
  }
  return [x, y]
}

// The plane of two units, the others being as in `base`.
function planeOfUnits(base, i, j) {
  const direction = (unit) => Float32Array.from(base, (_, k) => (k === unit ? 1 : 0))
  return { origin: base.map((value, k) => (k === i || k === j ? 0 : value)), across: direction(i), up: direction(j) }
}

// The code at a share of the way from a to b. Spherical: the direction turns evenly and the length changes evenly; where
// the two directions are the same, opposite or none, there is no one way to turn and the line is straight.
// Source: Shoemake, Animating rotation with quaternion curves, SIGGRAPH (1985).
function wayBetween(a, b, share, how) {
  const straight = () => a.map((value, i) => value + share * (b[i] - value))
  if (how !== "spherical") return straight()
  const [lengthA, lengthB] = [a, b].map((code) => Math.hypot(...code))
  const cosine = a.reduce((sum, value, i) => sum + value * b[i], 0) / (lengthA * lengthB)
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)))
  if (!(Math.sin(angle) > 1e-6)) return straight()
  const length = lengthA + share * (lengthB - lengthA)
  const [weightA, weightB] = [Math.sin((1 - share) * angle), Math.sin(share * angle)].map((sine) => sine / Math.sin(angle))
  return a.map((value, i) => length * ((weightA * value) / lengthA + (weightB * b[i]) / lengthB))
}

// Index of the point (flat pairs) nearest to a place, and its squared distance; -1 without points.
function nearestPoint(points, [x, y]) {
  let nearest = -1
  let least = Infinity
  for (let i = 0; i < points.length / 2; i++) {
    const distance = (points[2 * i] - x) ** 2 + (points[2 * i + 1] - y) ** 2
    if (distance < least) {
      least = distance
      nearest = i
    }
  }
  return [nearest, least]
}

// `count` numbers evenly from low to high.
function evenly(low, high, count) {
  return Array.from({ length: count }, (_, i) => low + ((high - low) * i) / (count - 1))
}

// The value below which a share of N(0, 1) lies. Acklam's rational approximation (2003), within 1.2e-9 of it.
function normalQuantile(share) {
  const ratio = (x, above, below) => above.reduce((sum, c) => sum * x + c) / (below.reduce((sum, c) => sum * x + c) * x + 1)
  const tail = (p) =>
    ratio(
      Math.sqrt(-2 * Math.log(p)),
      [-7.784894002430293e-3, -3.223964580411365e-1, -2.400758277161838, -2.549732539343734, 4.374664141464968, 2.938163982698783],
      [7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416],
    )
  if (share < 0.02425) return tail(share)
  if (share > 1 - 0.02425) return -tail(1 - share)
  const q = share - 0.5
  return (
    q *
    ratio(
      q * q,
      [-3.969683028665376e1, 2.209460984245205e2, -2.759285104469687e2, 1.38357751867269e2, -3.066479806614716e1, 2.506628277459239],
      [-5.447609879822406e1, 1.615858368580409e2, -1.556989798598866e2, 6.680131188771972e1, -1.328068155288572e1],
    )
  )
}
