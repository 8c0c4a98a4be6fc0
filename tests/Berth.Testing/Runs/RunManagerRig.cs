using System.Text;
using Berth.Core.Callbacks;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Server.Callbacks;
using Berth.Server.Logs;
using Berth.Server.Runs;
using Berth.Server.Spool;
using Berth.Server.Store;
using Berth.Server.Store.Sqlite;
using Berth.Testing.Content;
using Berth.Testing.Nodes;
using Microsoft.Extensions.Logging.Abstractions;

namespace Berth.Testing.Runs;

/// <summary>A task manager on a real store with a node without containers. Restarting keeps the data folder.</summary>
public sealed class RunManagerRig : IAsyncDisposable
{
    private readonly TemporaryFolder? owned;
    private readonly TimeProvider time;
    private IRunStore? store;

    private RunManagerRig(TimeProvider time, RunOptions options, string? folder)
    {
        this.time = time;
        owned = folder is null ? new TemporaryFolder() : null;
        Folder = folder ?? owned!.Path;
        Options = options;
        Node = new FakeNode(time);
    }

    public RunOptions Options { get; set; }

    public CallbackPolicy Callbacks { get; set; } = CallbackPolicy.PublicOnly;

    public FakeNode Node { get; private set; }

    public RunManager Manager { get; private set; } = null!;

    public IRunStore Store => store!;

    /// <summary>What the manager gets in place of the store.</summary>
    public Func<IRunStore, IRunStore> Around { get; set; } = store => store;

    private Func<Task<IRunStore>>? OpenStore { get; init; }

    public RunSpool Spool { get; private set; } = null!;

    public RunLogs Logs { get; private set; } = null!;

    public string Folder { get; }

    public static CallbackSigner Signer { get; } = new("a secret");

    public static RunOptions SmallOptions { get; } = RunOptions.Default(
        2, ByteSize.GiB(4)) with
    { MaxRunning = 4, QueueLimit = 1000 };

    /// <param name="folder">A data folder to begin or go on with; without one the rig has its
    /// own and deletes it.</param>
    /// <param name="open">Opens another store than the folder's own.</param>
    public static async Task<RunManagerRig> StartAsync(TimeProvider? time = null, RunOptions? options = null,
        string? folder = null, Func<Task<IRunStore>>? open = null)
    {
        RunManagerRig rig = new(time ?? TimeProvider.System, options ?? SmallOptions, folder) { OpenStore = open };
        await rig.BeginAsync();
        return rig;
    }

    /// <summary>Starts on what is in the folder, as a new server with a new node does.</summary>
    public async Task BeginAsync()
    {
        store = OpenStore is { } open
            ? await open()
            : await SqliteRunStore.OpenAsync(
                Path.Combine(Folder, "berth.db"), ByteSize.MiB(1), NullLogger<SqliteRunStore>.Instance,
                CancellationToken.None);
        Node = new FakeNode(time);
        await Node.StartAsync(CancellationToken.None);
        Spool = new RunSpool(Path.Combine(Folder, "spool"));
        Logs = new RunLogs(Path.Combine(Folder, "logs"), ByteSize.MiB(10), time, NullLogger<RunLogs>.Instance);
        Manager = new RunManager(
            Around(store), Node, Spool, Logs, Options, Callbacks, Signer, time, NullLogger<RunManager>.Instance,
            observer: null);
        await Manager.StartAsync(CancellationToken.None);
    }

    public async Task StopAsync(TimeSpan drain)
    {
        await Manager.StopAsync(drain, CancellationToken.None);
        await Node.StopAsync(CancellationToken.None);
        await store!.DisposeAsync();
    }

    /// <summary>Submits a command for the node's shell.</summary>
    public Task<RunAcceptance> SubmitAsync(
        string[] command, string input = "", Func<RunSpec, RunSpec>? with = null, string? key = null)
    {
        RunSpec spec = RunBuilder.Spec() with { Command = command };
        return Manager.SubmitAsync(
            new RunSubmission(with?.Invoke(spec) ?? spec, "admin", key),
            new MemoryStream(Encoding.UTF8.GetBytes(input)),
            CancellationToken.None);
    }

    /// <summary>Submits and waits for the end.</summary>
    public async Task<Run> RunAsync(string[] command, string input = "", Func<RunSpec, RunSpec>? with = null)
    {
        RunAcceptance accepted = await SubmitAsync(command, input, with);
        return await EndAsync(accepted.Run.Id);
    }

    public async Task<Run> EndAsync(RunId id)
    {
        Run run = await Manager.WaitAsync(id, TimeSpan.FromSeconds(30), CancellationToken.None);
        return run.State.IsTerminal() ? run : throw new InvalidOperationException($"Run {id} is still {run.State}.");
    }

    /// <summary>Waits until the run's program runs.</summary>
    public async Task RunningAsync(RunId id)
    {
        await foreach (var entry in Manager.EventsAsync(id, 0, CancellationToken.None))
        {
            if (entry.Type == RunEventTypes.Started)
            {
                return;
            }
        }
    }

    public async Task<string> ResultAsync(RunId id)
    {
        RunContent content = await Manager.ResultAsync(id, CancellationToken.None);
        using StreamReader reader = new(content.Stream);
        return await reader.ReadToEndAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync(TimeSpan.Zero);
        owned?.Dispose();
    }
}
