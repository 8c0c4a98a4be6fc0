using System.Net;
using System.Text;
using Berth.Cli.Servers;
using Berth.Commands;
using Berth.Commands.Terminals;
using Xunit;

namespace Berth.Tests.Commands;

/// <summary>
/// Runs command lines in the test's process: no terminal, a set environment, and a server made of answers.
/// </summary>
internal sealed class CommandHarness : IDisposable
{
    private readonly MemoryStream output = new();
    private readonly SharedOutput error = new();
    private readonly string home = Directory.CreateTempSubdirectory("berth-cli-").FullName;

    public CommandHarness(params (string Path, string Answer)[] answers) =>
        Handler = Server = new ScriptedServer(answers);

    public ScriptedServer Server { get; }

    public Dictionary<string, string> Variables { get; } = new() { ["BERTH_TOKEN"] = "a-token" };

    public byte[] Input { get; init; } = [];

    public string Output => Encoding.UTF8.GetString(output.ToArray());

    public string Error => error.Text;

    /// <summary>What answers; null for the network. Calls and submissions always go over the network.</summary>
    public HttpMessageHandler? Handler { get; init; }

    public string Home => home;

    public bool OnTerminal { get; init; }

    public async Task<int> RunAsync(string line) => await RunAsync(ShellWords.Split(line));

    public async Task<int> RunAsync(params string[] arguments)
    {
        Variables["HOME"] = home;
        Terminal terminal = new()
        {
            Output = output,
            Out = new StreamWriter(output, leaveOpen: true) { NewLine = "\n" },
            Error = new StreamWriter(error) { AutoFlush = true, NewLine = "\n" },
            ErrorOutput = error,
            OpenInput = () => new MemoryStream(Input),
            InputIsTerminal = false,
            OutputIsTerminal = OnTerminal,
            ErrorIsTerminal = OnTerminal,
            Variable = Variables.GetValueOrDefault,
            Time = new FixedTime(DateTimeOffset.Parse("2026-01-02T03:04:05Z")),
            FindWidth = () => 100,
        };
        int exitCode = await CommandLine.RunAsync(
            new BerthRoot(terminal, ServerCommands.All(), Handler), arguments, TestContext.Current.CancellationToken);
        await terminal.Out.FlushAsync();
        return exitCode;
    }

    public void Dispose() => Directory.Delete(home, recursive: true);

    /// <summary>Written by one thread and read by another.</summary>
    private sealed class SharedOutput : MemoryStream
    {
        private readonly Lock gate = new();

        public string Text
        {
            get
            {
                lock (gate)
                {
                    return Encoding.UTF8.GetString(ToArray());
                }
            }
        }

        public override void Write(byte[] buffer, int offset, int count)
        {
            lock (gate)
            {
                base.Write(buffer, offset, count);
            }
        }

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            lock (gate)
            {
                base.Write(buffer);
            }
        }

        public override ValueTask WriteAsync(
            ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            Write(buffer.Span);
            return ValueTask.CompletedTask;
        }
    }

    private sealed class FixedTime(DateTimeOffset now) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => now;
    }
}

/// <summary>Answers requests from a list of paths; notes what was asked. An answer that begins with a status ("404
/// …") is an error.</summary>
internal sealed class ScriptedServer((string Path, string Answer)[] answers) : HttpMessageHandler
{
    public List<string> Requests { get; } = [];

    public List<string> Bodies { get; } = [];

    protected override async Task<HttpResponseMessage> SendAsync(
        HttpRequestMessage request, CancellationToken cancellationToken)
    {
        string asked = $"{request.Method} {request.RequestUri!.PathAndQuery}";
        Requests.Add(asked);
        Bodies.Add(request.Content is null ? "" : await request.Content.ReadAsStringAsync(cancellationToken));
        string? answer = answers.Where(a => a.Path == asked).Select(a => a.Answer).FirstOrDefault();
        answer ??=
            """404 {"type":"about:blank","title":"?","status":404,"detail":"Nothing here.","code":"not_found"}""";
        bool isError = answer.Length > 3 && char.IsAsciiDigit(answer[0]) && answer[3] == ' ';
        return new HttpResponseMessage(isError ? (HttpStatusCode)int.Parse(answer[..3]) : HttpStatusCode.OK)
        {
            Content = new StringContent(isError ? answer[4..] : answer, Encoding.UTF8, "application/json"),
        };
    }
}

/// <summary>Splits a line as a shell would, up to the first redirection, pipe or further command.</summary>
internal static class ShellWords
{
    public static string[] Split(string line)
    {
        List<string> words = [];
        StringBuilder word = new();
        char quote = '\0';
        foreach (char c in line + " ")
        {
            if (quote != '\0')
            {
                quote = c == quote ? '\0' : quote;
                if (quote != '\0')
                {
                    word.Append(c);
                }
            }
            else if (c is '\'' or '"')
            {
                quote = c;
            }
            else if (c is '<' or '>' or '|' or ';' or '&')
            {
                break;
            }
            else if (c != ' ')
            {
                word.Append(c);
            }
            else if (word.Length > 0)
            {
                words.Add(word.ToString());
                word.Clear();
            }
        }

        return [.. words];
    }
}
