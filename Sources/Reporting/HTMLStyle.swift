/// The style sheet of reports.
enum HTMLStyle {
    static let text = """
        :root {
          --ground: #fbfbfa; --card: #ffffff; --ink: #1d2126; --soft: #626a73; --rule: #dfe2e6;
          --isolated: #0b6bcb; --accumulated: #b4560b; --floor: #7a828c; --allowed: #2f8f4e; --wrong: #c4232f;
          --good: #e5f4e9; --good-ink: #17602f; --bad: #fbe6e7; --bad-ink: #8f1620; --worse: #fdf0da; --worse-ink: #7a4a05;
        }
        @media (prefers-color-scheme: dark) {
          :root {
            --ground: #14171a; --card: #1b1f24; --ink: #e6e9ec; --soft: #a0a8b1; --rule: #333a42;
            --isolated: #6ab0ff; --accumulated: #f0a35e; --floor: #8c96a1; --allowed: #62c882; --wrong: #ff7b83;
            --good: #16331f; --good-ink: #a5e6b8; --bad: #3d1a1d; --bad-ink: #ffb8bd; --worse: #3a2c10; --worse-ink: #f6d48f;
          }
        }
        * { box-sizing: border-box; }
        body { margin: 0; background: var(--ground); color: var(--ink);
          font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
        main { max-width: 1240px; margin: 0 auto; padding: 24px 20px 40px; }
        h1 { font-size: 24px; line-height: 1.25; margin: 0 0 12px; overflow-wrap: anywhere; }
        h2 { font-size: 16px; margin: 0 0 8px; }
        .soft { color: var(--soft); font-weight: normal; }
        .verdict { margin: 0 0 18px; padding: 12px 16px; border-radius: 8px; overflow-wrap: anywhere; }
        .verdict.good { background: var(--good); color: var(--good-ink); }
        .verdict.bad { background: var(--bad); color: var(--bad-ink); }
        .verdict.worse { background: var(--worse); color: var(--worse-ink); }
        .tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: 12px; margin: 0 0 18px; }
        .tiles div { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 10px 14px; }
        dt { color: var(--soft); font-size: 13px; }
        dd { margin: 2px 0 0; font-size: 18px; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
        section { margin: 0 0 18px; }
        .plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 460px), 1fr)); gap: 16px;
          margin: 0 0 18px; align-items: start; }
        figure, details { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; margin: 0;
          padding: 14px 16px; }
        details { margin: 0 0 12px; }
        summary { cursor: pointer; font-weight: 600; }
        details[open] summary { margin-bottom: 10px; }
        figcaption { color: var(--soft); font-size: 13px; }
        svg { display: block; width: 100%; height: auto; }
        svg text { fill: var(--soft); font-size: 12px; font-family: inherit; }
        svg .end { text-anchor: end; }
        svg .middle { text-anchor: middle; }
        .grid { stroke: var(--rule); stroke-width: 1; }
        .marked { stroke: var(--wrong); stroke-width: 1.5; stroke-dasharray: 4 4; }
        .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
        .line.allowed, .line.floor { stroke-width: 1.5; stroke-dasharray: 6 4; }
        .line.isolated { stroke: var(--isolated); } .mark.isolated, .key.isolated { fill: var(--isolated); background: var(--isolated); }
        .line.accumulated { stroke: var(--accumulated); } .mark.accumulated, .key.accumulated { fill: var(--accumulated); background: var(--accumulated); }
        .line.floor { stroke: var(--floor); } .mark.floor, .key.floor { fill: var(--floor); background: var(--floor); }
        .line.allowed { stroke: var(--allowed); } .mark.allowed, .key.allowed { fill: var(--allowed); background: var(--allowed); }
        .line.wrong { stroke: var(--wrong); } .mark.wrong, .key.wrong { fill: var(--wrong); background: var(--wrong); }
        .cell { fill: var(--isolated); stroke: var(--rule); stroke-width: 0.5; }
        .cell.framed { stroke: var(--wrong); stroke-width: 2; }
        .legend { margin: 6px 0; font-size: 13px; color: var(--soft); }
        .item { display: inline-block; margin-right: 14px; white-space: nowrap; }
        .key { display: inline-block; width: 14px; height: 4px; border-radius: 2px; margin-right: 6px; vertical-align: middle; }
        .swatch { display: inline-block; width: 12px; height: 12px; margin-right: 5px; vertical-align: -1px; background: var(--isolated); }
        .swatch.none { background: none; border: 1px solid var(--rule); }
        .swatch.none.framed { border: 2px solid var(--wrong); }
        .scroll { overflow-x: auto; }
        table { border-collapse: collapse; font-size: 13px; width: 100%; }
        th, td { text-align: left; padding: 4px 12px 4px 0; border-bottom: 1px solid var(--rule); white-space: nowrap; }
        th { color: var(--soft); font-weight: 600; }
        .n { text-align: right; font-variant-numeric: tabular-nums; }
        table.sides td { white-space: normal; overflow-wrap: anywhere; }
        footer { color: var(--soft); font-size: 13px; }
        @media (max-width: 600px) {
          main { padding: 16px 12px 32px; }
          figure, details { padding: 10px 10px; }
          svg text { font-size: 17px; }
        }
        """
}
