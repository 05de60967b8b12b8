"""The figures as one page of text."""

SIZE = {'4k': '4 KiB', '100k': '100 KiB'}


def show(results):
    print(head(results['machine'], results['quick']))
    for part in (load, calls, instructions, checks, rules, memory, lwip, tls, count):
        if part.__name__ in results:
            print('\n' + '\n'.join(part(results[part.__name__], results)))
    print()
    for limit in results['limits']:
        print('%-6s %-60s %8s of at most %s %s' % (
            'ok' if limit['kept'] else 'MISSED', limit['name'], number(limit['value']),
            number(limit['most']), limit['unit']))
    for trouble in results['troubles']:
        print(trouble)


def number(value):
    if isinstance(value, int) or value >= 100:
        return '%d' % round(value)
    return '%.2f' % value


def head(machine, quick):
    return 'Postern beside HAProxy, %s, %d x %s, %s%s' % (
        machine['date'], machine['cpus'], machine['cpu'], machine['system'],
        '; QUICK: too few messages for figures' if quick else '')


def load(data, results):
    targets = [name for name in data if not name.startswith('ratio.')]
    sizes = [size for size in SIZE if size in data[targets[0]]]
    lines = ['smtp-source -> X -> smtp-sink, 20 at a time, a new connection for each message; '
             'medians of %d rounds' % results['rounds'],
             '%-11s' % 'X' + ''.join(' | %-34s' % SIZE[size] for size in sizes) + ' | KiB',
             '%-11s' % '' + len(sizes) * ' | CPU us (least)  user% whole  msg/s' + ' | private']
    for name in targets:
        row = '%-11s' % name
        for size in sizes:
            cell = data[name][size]
            if 'cpu_us' in cell:
                spent = cell['user_us'] + cell['system_us']
                row += ' | %6.1f (%5.1f) %5.0f' % (
                    cell['cpu_us'], cell['cpu_us_least'],
                    100 * cell['user_us'] / spent if spent else 0)
            else:
                row += ' |      -              '
            row += ' %6.0f %6.0f' % (cell['chain_us'], cell['rate'])
        own = data[name].get('memory')
        lines.append(row + (' | %d' % own['private_kib'] if own else ' | -'))
    lines.append('%-11s' % 'ratio' + ''.join(
        ' | %6.2f %-27s' % (data['ratio.' + size], 'postern to haproxy-1') for size in sizes) + ' |')
    others = [cell['other_percent'] for name in targets for size in sizes
              for cell in data[name][size]['all']]
    lines.append('CPU us: of X, for a message. whole: source, X and sink. '
                 'Other work took %.0f to %.0f %% of the machine.' % (min(others), max(others)))
    return lines


def calls(data, results):
    names = sorted({name for counts in data.values() for name in counts},
                   key=lambda name: -max(counts.get(name, (0, 0))[0] for counts in data.values()))
    columns = list(data)
    lines = ['System calls per message of 4 KiB (of these failed), by how many at a time',
             '%-14s' % 'X' + ''.join(' %16s' % column.replace('.', ', ') for column in columns)]

    def cell(pair):
        if pair[0] < 0.005:
            return ' %16s' % '-'
        return ' %16s' % ('%.2f' % pair[0] + (' (%.2f)' % pair[1] if pair[1] >= 0.005 else ''))
    for name in names:
        lines.append('%-14s' % name + ''.join(cell(data[column].get(name, (0, 0)))
                                              for column in columns))
    lines.append('%-14s' % 'all' + ''.join(
        ' %16.2f' % sum(times for times, _ in data[column].values()) for column in columns))
    return lines


def instructions(data, results):
    lines = ['Instructions in user mode per message, one at a time']
    for name in sorted({key.split('.')[0] for key in data}):
        lines.append('%-11s' % name + ''.join(
            '  %s: %d' % (SIZE[key.split('.')[1]], round(value)) for key, value in data.items()
            if key.split('.')[0] == name))
    return lines


def checks(data, results):
    new = data['new']
    return ['Three lists, names, SPF and five header rules on a message of 4 KiB, 20 at a time',
            'every name known: haproxy-1 %.1f, postern %.1f us of CPU (least %.1f), ratio %.2f; '
            '%d questions for %d messages' % (
                data['haproxy-1']['cpu_us'], data['postern']['cpu_us'], data['postern']['cpu_us_least'],
                data['ratio'], data['asked'], data['messages']),
            'one at a time, a small message: every name new %.1f us and %.1f questions, the same again %.1f us and '
            '%.1f: %.1f us a question' % (new['cpu_us'], new['queries'], new['warm_us'], new['warm_queries'],
                                          new['query_us'])]


def rules(data, results):
    lines = ['Rules, on a message of 4 KiB    CPU us (least) | private KiB idle, added | rules, machine code, while '
             'one is looked at']
    for name, row in data.items():
        lines.append('%-28s %9.1f (%5.1f) | %16d %6d | %5d %13d %9d' % (
            name, row['cpu_us'], row['cpu_us_least'], row['idle_kib'], row['added_kib'], row['set_kib'],
            row['jit_kib'], row['run_kib']))
    return lines


def memory(data, results):
    lines = ['Memory in KiB   private  of no file     heap      PSS | private with %d idle clients, '
             'each' % next(iter(data.values()))['sessions']]
    for name, row in data.items():
        idle = row['idle']
        lines.append('%-14s %8d %11d %8d %8d | %7d %22.2f' % (
            name, idle['private_kib'], idle['anonymous_kib'], idle['heap_kib'], idle['pss_kib'],
            row['full']['private_kib'], row['session_kib']))
    return lines


def lwip(data, results):
    lines = ['By its own TCP/IP, 4 KiB, 20 at a time  messages/s  CPU us | private KiB with so many idle clients']
    for name, row in data.items():
        lines.append('%-38s %11.0f %7.1f | %s' % (
            name, row['rate'], row['cpu_us'], ', '.join('%d: %d' % (count, kib) for count, kib in row['private_kib'])))
    return lines


def tls(data, results):
    lines = ['TLS: CPU us of a new session    in the clear     with TLS      of TLS   (%d sessions a round, medians)' % data['sessions']]
    for kind in ('ecdsa', 'rsa'):
        for name in ('postfix', 'nginx', 'postern'):
            row = data[kind][name]
            lines.append('%-6s %-10s %25.0f %12.0f %11.0f' % (kind, name, row['plain_us'], row['with_us'], row['tls_us']))
        lines.append("%-6s postern's to postfix's %40.2f" % (kind, data[kind]['ratio']))
    return lines + ['private KiB per idle TLS client: %.2f;  longest turn with 200 clients at once: %d ms, with their handshakes %d ms' % (
        data['session_kib'], data['turn_ms']['plain'], data['turn_ms']['tls'])]


def count(data, results):
    return ['%d messages: %d lost, %d doubled, %d that nobody sent, %d without a line in the log; '
            '%.0f per second, %d KiB private then' % (
                data['sent'], data['lost'], data['doubled'], data['foreign'], data['unlogged'],
                data['rate'], data['memory']['private_kib'])]
