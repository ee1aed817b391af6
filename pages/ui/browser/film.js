// Moments one after another. It knows nothing of what is in them.

// Show each of `moments` for its share of `seconds`, the last one for good; what `player` was playing is broken off.
function play(player, moments, seconds, show) {
  stopPlaying(player)
  const share = (1000 * seconds) / moments.length
  const from = (i) => {
    show(moments[i])
    if (i + 1 < moments.length) player.next = setTimeout(from, share, i + 1)
  }
  from(0)
}

function stopPlaying(player) {
  clearTimeout(player.next)
}
