/** The report as a picture for the documents: bars, one panel for the drain, one for each rate of the latency. Light and dark. */

const [width, left, bar, gap] = [760, 190, 18, 8];
const style = `
  text { font: 13px system-ui, sans-serif; fill: #1f2328 } .head { font-weight: 600; font-size: 14px } .dim { fill: #59636e }
  .ours { fill: #0969da } .peer { fill: #8c959f } .tail { opacity: 0.35 }
  @media (prefers-color-scheme: dark) { text { fill: #f0f6fc } .dim { fill: #9198a1 } .ours { fill: #4493f8 } .peer { fill: #6e7681 } }`;

/** @param report as `--json` prints it, with the parts `drain` and `latency`, either or both */
export function pictureOf({ machine, node, parts }) {
  const panels = [
    ...(parts.drain === undefined ? [] : [drainPanel(parts.drain)]),
    ...[...new Set((parts.latency ?? []).map((row) => row['events/s']))].map((rate) =>
      latencyPanel(
        rate,
        parts.latency.filter((row) => row['events/s'] === rate),
      ),
    ),
  ];
  let y = 24;
  const body = panels.map(({ title, bars }) => {
    const longest = Math.max(...bars.flatMap(({ values }) => values));
    const lines = [`<text class="head" x="12" y="${y}">${escape(title)}</text>`];
    y += 12;
    for (const { name, values, label } of bars) {
      const colour = name.startsWith('temporal-outbox') ? 'ours' : 'peer';
      // The longest first, so that the shorter one lies on it.
      const rects = values
        .map((value, index) => ({ length: (value / longest) * (width - left - 170), index }))
        .reverse()
        .map(
          ({ length, index }) =>
            `<rect class="${colour}${index > 0 ? ' tail' : ''}" x="${left}" y="${y}" width="${Math.max(1, length).toFixed(1)}" height="${bar}" rx="2"/>`,
        );
      const end = left + (Math.max(...values) / longest) * (width - left - 170) + 8;
      lines.push(
        `<text x="${left - 8}" y="${y + 14}" text-anchor="end">${escape(name)}</text>`,
        ...rects,
        `<text class="dim" x="${end.toFixed(1)}" y="${y + 14}">${escape(label)}</text>`,
      );
      y += bar + gap;
    }
    y += 22;
    return lines.join('\n');
  });
  const foot = `<text class="dim" x="12" y="${y}">${escape(`${machine}, Node ${node}; all in turns on one machine in one run`)}</text>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y + 16}" role="img" aria-label="Benchmark">
<style>${style}</style>
${body.join('\n')}
${foot}
</svg>
`;
}

function drainPanel(rows) {
  return {
    title: 'Drain of waiting events, events a second: longer is better',
    bars: rows.map((row) => {
      const rate = row['events/s (median)'];
      return { name: row.contestant, values: [rate], label: rate.toLocaleString('en-US') };
    }),
  };
}

function latencyPanel(rate, rows) {
  return {
    title: `Commit to receipt at ${rate.toLocaleString('en-US')} events/s, ms: shorter is better (pale: p99)`,
    bars: rows.map((row) => ({
      name: row.contestant,
      values: [row['p50 ms'], row['p99 ms']],
      label: `${row['p50 ms']}, ${row['p99 ms']}`,
    })),
  };
}

function escape(text) {
  return text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
