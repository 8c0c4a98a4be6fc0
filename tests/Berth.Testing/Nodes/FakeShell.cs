using System.Globalization;
using System.Text;
using System.Threading.Channels;
using Berth.Api.Nodes;
using Berth.Core.Runs;

namespace Berth.Testing.Nodes;

/// <summary>How a program of <see cref="FakeShell"/> ended.</summary>
public sealed record FakeEnd(EndReason Reason, int? ExitCode = null, int? Signal = null, string? Detail = null)
{
    public static FakeEnd Exit(int code) => new(code == 0 ? EndReason.Completed : EndReason.ExitCode, code);
}

/// <summary>
/// The handful of busybox commands that tests of the server need, run in memory: <c>cat, echo, sleep, true, false, env,
/// yes, tail /dev/zero</c> (out of memory) and <c>sh -c</c> with statements <c>echo … [>&amp;2]</c>, <c>exit N</c>,
/// <c>kill -N $$</c>, <c>trap '' TERM</c>, <c>progress PERCENT MESSAGE</c> separated by semicolons. And <c>lambda</c>,
/// which is no command: <see cref="FakeLambda"/>.
/// </summary>
internal sealed class FakeShell(
    Stream input, Stream output, Stream error, ChannelWriter<ProgressReport> progress, TimeProvider time,
    IReadOnlyDictionary<string, string> environment, CancellationToken terminated, CancellationToken killed,
    Func<CancellationToken, Task<Stream>>? connect = null)
{
    private bool ignoresTerminate;

    private CancellationToken Stop => ignoresTerminate ? killed : terminated;

    /// <summary>Whether there is such a command.</summary>
    public static bool Knows(string command) => Path.GetFileName(command)
        is "cat" or "echo" or "sleep" or "true" or "false" or "env" or "yes" or "tail" or "sh" or "lambda";

    /// <summary>Runs the command. Ending by a signal is an OperationCanceledException.</summary>
    public async Task<FakeEnd> RunAsync(IReadOnlyList<string> command)
    {
        switch (Path.GetFileName(command[0]))
        {
            case "cat":
                await input.CopyToAsync(output, Stop);
                return FakeEnd.Exit(0);
            case "echo":
                await PrintAsync(output, string.Join(' ', command.Skip(1)) + "\n");
                return FakeEnd.Exit(0);
            case "sleep":
                double seconds = double.Parse(command[1], CultureInfo.InvariantCulture);
                await Task.Delay(TimeSpan.FromSeconds(seconds), time, Stop);
                return FakeEnd.Exit(0);
            case "true":
                return FakeEnd.Exit(0);
            case "false":
                return FakeEnd.Exit(1);
            case "env":
                await PrintAsync(output, string.Concat(environment.Select(e => $"{e.Key}={e.Value}\n")));
                return FakeEnd.Exit(0);
            case "lambda":
                Func<CancellationToken, Task<Stream>> api =
                    connect ?? throw new IOException("Nobody listens for this program.");
                return await new FakeLambda(api, error, time, environment).RunAsync(command, Stop);
            case "yes":
                return await FloodAsync();
            case "tail" when command.Count == 2 && command[1] == "/dev/zero":
                return new FakeEnd(EndReason.OutOfMemory, null, 9, "The program needed more memory than its limit.");
            case "sh" when command.Count >= 3 && command[1] == "-c":
                return await RunScriptAsync(command[2]);
            default:
                return new FakeEnd(
                    EndReason.EntryPointMissing, null, null, $"The image has no program '{command[0]}'.");
        }
    }

    private async Task<FakeEnd> RunScriptAsync(string script)
    {
        var last = FakeEnd.Exit(0);
        string[] statements = script.Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        foreach (string statement in statements)
        {
            string[] words = statement.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            switch (words[0])
            {
                case "exit":
                    return FakeEnd.Exit(int.Parse(words[1], CultureInfo.InvariantCulture));
                case "kill" when words is [_, ['-', .. var number], "$$"]:
                    int signal = int.Parse(number, CultureInfo.InvariantCulture);
                    return new FakeEnd(EndReason.Signal, null, signal, $"The program was ended by signal {signal}.");
                case "trap":
                    ignoresTerminate = true;
                    break;
                case "progress":
                    double percent = double.Parse(words[1], CultureInfo.InvariantCulture);
                    await progress.WriteAsync(
                        new ProgressReport(percent, words.Length > 2 ? string.Join(' ', words[2..]) : null), Stop);
                    break;
                case "echo" when words[^1] == ">&2":
                    await PrintAsync(error, string.Join(' ', words[1..^1]) + "\n");
                    break;
                default:
                    last = await RunAsync(words);
                    if (last.Reason is not (EndReason.Completed or EndReason.ExitCode))
                    {
                        return last.Reason == EndReason.EntryPointMissing ? FakeEnd.Exit(127) : last;
                    }

                    break;
            }
        }

        return last;
    }

    private async Task<FakeEnd> FloodAsync()
    {
        byte[] chunk = Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat("y\n", 4096)));
        while (true)
        {
            await output.WriteAsync(chunk, Stop);
        }
    }

    private async Task PrintAsync(Stream stream, string text) =>
        await stream.WriteAsync(Encoding.UTF8.GetBytes(text), Stop);
}
