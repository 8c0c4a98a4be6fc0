using System.CommandLine;
using System.Globalization;
using System.Security.Cryptography;
using Berth.Api.Client;
using Berth.Api.Errors;
using Berth.Api.Runs;
using Berth.Commands.Output;
using Berth.Commands.Runs;
using Berth.Commands.Terminals;
using Berth.Core.Callbacks;
using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Core.Runs;

namespace Berth.Commands.Tasks;

/// <summary><c>berth task</c>: runs that nobody waits on the line for.</summary>
internal static class TaskCommands
{
    public static Noun All() => new(
        "task", "Hand in work to be done later, and see to it",
        [
            new("berth task submit demo/thumbnail 400 < photo.jpg", "Hand in a task; its id is printed"),
            new("berth task result 01jd3v8k2m7q9x4r5t6w0y1z2b > thumbnail.jpg", "Fetch its result"),
        ],
        new SubmitCommand(), new TaskListCommand(), new GetCommand(), new WaitCommand(), new LogsCommand("task logs"),
        new ResultCommand(), new CancelCommand());
}

internal sealed class SubmitCommand : Verb
{
    private readonly RunSettings settings = new();
    private readonly OutputOption output = new();
    private readonly Option<string?> key = new("--idempotency-key")
    {
        HelpName = "KEY",
        Description = "A second submission with the same key is the same task; random if not given",
    };

    private readonly Option<string?> callback = new("--callback")
    {
        HelpName = "URL",
        Description = "Address told by POST when the task has ended",
    };

    private readonly Option<string?> maxAge = new("--max-age")
    {
        HelpName = "TIME",
        Description = "Give up when it has not begun after this time",
    };

    private readonly Option<string?> priority = new("--priority")
    {
        HelpName = "N",
        Description = "From -100 to 100, the higher is served the sooner; below 0 it gives its place up to others",
    };

    private readonly Option<string?> attempts = new("--attempts")
    {
        HelpName = "N",
        Description = "How many times it is tried at most",
    };

    private readonly Option<bool> retryFailures = new("--retry-failures")
    {
        Description = "Try again after the program's own failure too",
    };

    private readonly MountOptions mounts = new();

    public SubmitCommand()
        : base(
            "submit", "Hand in a task and print its id; it is on disk before the id is printed",
            new("berth task submit demo/thumbnail 400 < photo.jpg", "The input is standard input"),
            new(
                "id=$(berth task submit --timeout 1h demo/report < data.csv) && berth task wait $id",
                "Hand in, then wait"),
            new(
                "berth task submit --attempts 5 --retry-failures --label batch=7 demo/fetch https://example.org",
                "Try again when it fails"),
            new("berth task submit -v models:/models:ro demo/train", "Where the volume is"))
    {
        foreach (Option option in (Option[])[output, key, callback, maxAge, priority, attempts, retryFailures])
        {
            Add(option);
        }

        mounts.AddTo(this);
        settings.AddTo(this);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        RunOptions options = mounts.Add(session, settings.Read(session)) with
        {
            // Lets the client try again after a broken connection without handing the work in twice.
            IdempotencyKey = session.Get(key) ?? Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16)),
            Callback = session.Get(callback) is { } url ? ParseUrl(url) : null,
            MaxAge = RunSettings.Parse(session, maxAge, Duration.Parse),
            Priority = RunSettings.Parse(session, priority, RunSettings.ParseSigned),
            Attempts = RunSettings.Parse(session, attempts, RunSettings.ParseNumber),
            RetryFailures = session.Get(retryFailures),
        };
        await using Stream? input = session.Terminal.InputIsTerminal ? null : session.Terminal.OpenInput();
        RunView run = await session.Client.Runs.SubmitAsync(settings.Image(session), options, input, cancellationToken);
        if (session.Get(output) == "json")
        {
            JsonOutput.Write(session.Terminal, run, RunJson.Default.RunView);
        }
        else
        {
            await session.Terminal.Out.WriteLineAsync(run.Id);
        }

        return 0;
    }

    private static Uri ParseUrl(string text) => WebAddress.TryParse(text, out Uri? url)
        ? url
        : throw new BerthException(
            ErrorCode.InvalidRequest, $"--callback: '{text}' is not an absolute http or https URL.");
}

internal sealed class TaskListCommand : Verb
{
    private readonly OutputOption output = new();
    private readonly QuietOption quiet = new("Print ids only");
    private readonly Option<bool> all = new("--all", "-a") { Description = "List synchronous calls too" };
    private readonly Option<string?> state = new("--state")
    {
        HelpName = "STATE",
        Description = "Only those in this state",
    };

    private readonly Option<string?> image = new("--image")
    {
        HelpName = "IMAGE",
        Description = "Only those of this image",
    };

    private readonly Option<string?> label = new("--label", "-l")
    {
        HelpName = "KEY=VALUE",
        Description = "Only those with this label",
    };

    private readonly Option<string?> limit = new("--limit", "-n")
    {
        HelpName = "N",
        Description = "At most this many (default 50)",
    };

    public TaskListCommand()
        : base(
            "ls", "List tasks, newest first",
            new("berth task ls --state running", "What is running now"),
            new("berth task ls -a --image demo/thumbnail", "Calls too, of one image"),
            new("berth task ls -q --state queued | xargs -r berth task cancel", "Cancel all that wait"))
    {
        state.AcceptOnlyFromAmong("queued", "starting", "running", "succeeded", "failed", "canceled");
        foreach (Option option in (Option[])[output, quiet, all, state, image, label, limit])
        {
            Add(option);
        }
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        Terminal terminal = session.Terminal;
        RunFilter filter = new(
            session.Get(all) ? null : "task", session.Get(state), session.Get(image), session.Get(label));
        int most = RunSettings.Parse(session, limit, RunSettings.ParseNumber) ?? 50;
        IAsyncEnumerable<RunView> runs = session.Client.Runs.ListAsync(filter, most, cancellationToken);
        if (session.Get(output) == "json")
        {
            await JsonOutput.WriteAsync(terminal, runs, RunJson.Default.RunView, cancellationToken);
            return 0;
        }

        Table table = RunText.NewTable();
        await foreach (RunView run in runs)
        {
            if (session.Get(quiet))
            {
                await terminal.Out.WriteLineAsync(run.Id);
            }

            RunText.AddTo(table, run, terminal.Time.GetUtcNow());
        }

        if (!session.Get(quiet))
        {
            table.Write(terminal);
        }

        return 0;
    }
}

internal sealed class GetCommand : Verb
{
    private readonly RunIdArgument id = new();
    private readonly OutputOption output = new();

    public GetCommand()
        : base(
            "get", "Show one task: state, times, usage",
            new("berth task get 01jd3v8k2m7q9x4r5t6w0y1z2b", "For people"),
            new("berth task get -o json 01jd3v8k2m7q9x4r5t6w0y1z2b | jq .state", "For programs"))
    {
        Add(id);
        Add(output);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        RunView run = await session.Client.Runs.GetAsync(session.Get(id), cancellationToken);
        if (session.Get(output) == "json")
        {
            JsonOutput.Write(session.Terminal, run, RunJson.Default.RunView);
        }
        else
        {
            RunText.WriteDetail(session.Terminal, run, await WaitingForAsync(session, run, cancellationToken));
        }

        return 0;
    }

    /// <summary>What a task that waits was told last; null where it was told nothing.</summary>
    private static async Task<string?> WaitingForAsync(
        Session session, RunView run, CancellationToken cancellationToken) => run.State != "queued"
        ? null
        : (await session.Client.Runs.WhyAsync(run.Id, cancellationToken)).Events
            .LastOrDefault(e => e.Type == RunEventTypes.Waiting)?.Detail;
}

internal sealed class WaitCommand : Verb
{
    private readonly Argument<string[]> ids = new("id")
    {
        Description = "Ids of the tasks",
        Arity = ArgumentArity.OneOrMore,
    };

    private readonly Option<string?> timeout = new("--timeout")
    {
        HelpName = "TIME",
        Description = "Wait no longer than this (exit code 124)",
    };

    private readonly QuietOption quiet = new("Print nothing, only give the exit code");

    public WaitCommand()
        : base(
            "wait", "Wait until tasks have ended; the exit code is 0 when all succeeded",
            new("berth task wait 01jd3v8k2m7q9x4r5t6w0y1z2b", "Until it has ended"),
            new("berth task wait --timeout 5m $a $b && echo done", "Two of them, five minutes at most"))
    {
        Add(ids);
        Add(timeout);
        Add(quiet);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        TimeSpan? limit = RunSettings.Parse(session, timeout, Duration.Parse);
        long begun = session.Terminal.Time.GetTimestamp();
        int exitCode = 0;
        foreach (string id in session.Get(ids))
        {
            TimeSpan? left = limit - session.Terminal.Time.GetElapsedTime(begun);
            RunView run = await session.Client.Runs.WaitAsync(
                id, left < TimeSpan.Zero ? TimeSpan.Zero : left, cancellationToken);
            if (!session.Get(quiet))
            {
                await session.Terminal.Out.WriteLineAsync($"{run.Id} {run.State}");
            }

            int code = RunsClient.IsTerminal(run)
                ? RunsClient.FailureOf(run)?.ExitCode ?? 0
                : ErrorCatalog.Find(ErrorCode.RunTimedOut).ExitCode;
            exitCode = exitCode == 0 ? code : exitCode;
        }

        return exitCode;
    }
}

internal sealed class ResultCommand : Verb
{
    private readonly RunIdArgument id = new();
    private readonly Option<bool> wait = new("--wait", "-w") { Description = "Wait until the task has ended" };
    private readonly Option<string?> file = new("--file", "-f")
    {
        HelpName = "PATH",
        Description = "Write to this file instead of standard output",
    };

    public ResultCommand()
        : base(
            "result", "Fetch what a task wrote to standard output",
            new("berth task result 01jd3v8k2m7q9x4r5t6w0y1z2b > thumbnail.jpg", "To standard output"),
            new("berth task result --wait --file out.jpg 01jd3v8k2m7q9x4r5t6w0y1z2b", "Wait for it, then to a file"))
    {
        Add(id);
        Add(wait);
        Add(file);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        string run = session.Get(id);
        if (session.Get(wait))
        {
            RunView ended = await session.Client.Runs.WaitAsync(run, null, cancellationToken);
            if (RunsClient.FailureOf(ended) is { } failure)
            {
                throw new BerthException(
                    failure.Error, $"Run {ended.Id} ended without a result: {ended.Message ?? failure.Title}");
            }
        }

        await using Stream result = await session.Client.Runs.OpenResultAsync(run, cancellationToken);
        if (session.Get(file) is not { } path)
        {
            await result.CopyToAsync(session.Terminal.Output, cancellationToken);
            return 0;
        }

        await using FileStream target = File.Create(path);
        await result.CopyToAsync(target, cancellationToken);
        return 0;
    }
}

internal sealed class CancelCommand : SeveralCommand
{
    private readonly QuietOption quiet = new("Print nothing");

    public CancelCommand()
        : base(
            new("id") { Description = "Ids of the tasks" },
            "cancel", "End tasks, whether they wait or run",
            new("berth task cancel 01jd3v8k2m7q9x4r5t6w0y1z2b", "One of them"),
            new("berth task ls -q --state queued | xargs -r berth task cancel", "All that wait"))
        => Add(quiet);

    protected override async Task SeeToAsync(Session session, string id, CancellationToken cancellationToken)
    {
        RunView run = await session.Client.Runs.CancelAsync(id, cancellationToken);
        if (!session.Get(quiet))
        {
            await session.Terminal.Out.WriteLineAsync(
                string.Create(CultureInfo.InvariantCulture, $"{run.Id} {run.State}"));
        }
    }
}
