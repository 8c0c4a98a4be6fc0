using System.Collections.Concurrent;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Functions;
using Berth.Core.Images;
using Berth.Core.Networks;
using Berth.Core.Rollouts;
using Berth.Core.Runs;
using Berth.Server.Rollouts;
using Berth.Server.Runs;
using Berth.Server.Store;

namespace Berth.Server.Functions;

/// <summary>A function as this server knows it now.</summary>
/// <param name="Places">By revision, of those that have a limit of their own. They stay with their revision, so that
/// no change forgets who is in them.</param>
internal sealed record FunctionEntry(Function Record, IReadOnlyDictionary<int, RunPlaces> Places);

/// <summary>All functions, in memory for calls and durable for the next start. Changes are made one after the other;
/// a call sees the state from before one or from after it.</summary>
internal sealed class FunctionManager(
    IFunctionStore store, INode node, RevisionMeters meters, TimeProvider time, FunctionHosts? hosts = null)
{
    /// <summary>All are held in memory.</summary>
    private const int MaxFunctions = 100_000;

    private readonly ConcurrentDictionary<string, FunctionEntry> entries = new(StringComparer.Ordinal);
    private readonly SemaphoreSlim changing = new(1);

    /// <summary>By which host names they are reached.</summary>
    public FunctionHosts Hosts { get; } = hosts ?? new FunctionHosts(null, []);

    /// <summary>Told of each function that was changed, and of each that is gone, with null.</summary>
    public Action<string, Function?>? Changed { get; set; }

    /// <summary>Told what calls will want, so that the first finds a sandbox ready; without it the server's own node
    /// is.</summary>
    public Action<RunSpec>? Expecting { get; set; }

    /// <summary>Told of what sandboxes can't be readied for where it may run; its image can be there. Set before
    /// anything runs.</summary>
    public Action<RunSpec>? ExpectingImage { get; set; }

    /// <summary>The network of what a function runs, as it is; null where it is gone. Set before anything runs.
    /// </summary>
    public Func<NetworkUse, NetworkDefinition?>? Networks { get; set; }

    /// <summary>By name.</summary>
    public IReadOnlyList<FunctionEntry> All => [.. entries.Values.OrderBy(e => e.Record.Name, StringComparer.Ordinal)];

    /// <summary>Those in which a revision is being rolled out.</summary>
    public IEnumerable<Function> RollingOut =>
        entries.Select(e => e.Value.Record).Where(f => f.Rollout is { IsUnderWay: true });

    /// <summary>What the revisions run, which must stay for as long as they are kept.</summary>
    public IReadOnlyCollection<Digest> Images() =>
        [.. entries.Values.SelectMany(e => e.Record.Revisions).Select(r => r.Spec.Run.Digest).Distinct()];

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        foreach (Function function in await store.AllFunctionsAsync(cancellationToken))
        {
            entries[function.Name] = new FunctionEntry(function, PlacesOf(function, null));
            Hosts.Set(function.Name, [], function.Edge.Hosts);
        }
    }

    /// <summary>Takes in what other servers have changed.</summary>
    public async Task RefreshAsync(CancellationToken cancellationToken)
    {
        await changing.WaitAsync(cancellationToken);
        try
        {
            await ReadAgainAsync(cancellationToken);
        }
        finally
        {
            changing.Release();
        }
    }

    /// <summary>Whether other servers change what there is, too.</summary>
    public bool IsShared => store is IClusterStore;

    /// <summary>Looks in the store for one function that is not known here: another server may have been told of it
    /// just now.</summary>
    public async Task LookForAsync(string name, CancellationToken cancellationToken)
    {
        await changing.WaitAsync(cancellationToken);
        try
        {
            if (!entries.ContainsKey(name) && store is IClusterStore shared
                && await shared.FindFunctionAsync(name, cancellationToken) is { } function)
            {
                Take(function);
            }
        }
        finally
        {
            changing.Release();
        }
    }

    /// <summary>Null where there is none.</summary>
    public FunctionEntry? Find(string name) => entries.GetValueOrDefault(name);

    /// <summary>Throws <c>NotFound</c>.</summary>
    public FunctionEntry Get(string name) => entries.TryGetValue(name, out FunctionEntry? entry)
        ? entry
        : throw new BerthException(
            ErrorCode.NotFound, $"There is no function '{Shown(name)}': 'berth function ls' lists them.");

    /// <summary>Makes the function, or its next revision where its settings differ from the newest one's.</summary>
    /// <param name="percent">Of its calls for the new revision.</param>
    /// <param name="tag">A name for it; null for none.</param>
    /// <param name="plan">By which it gets the calls, instead of <paramref name="percent"/> at once; null for none.
    /// </param>
    /// <param name="also">What else changes with it.</param>
    /// <returns>The function afterwards and before; null for a new one.</returns>
    public Task<(FunctionEntry Entry, Function? Before)> DeployAsync(
        string name, FunctionSpec spec, int percent, string? tag, RolloutPlan? plan, string caller,
        Func<Function, Function> also, CancellationToken cancellationToken)
    {
        return ApplyAsync(
            name, old => also(Deployed(name, old, spec, percent, tag, plan, caller)), cancellationToken);
    }

    /// <summary>What a file that says this would make of a function now; nothing is changed. Calls go elsewhere for a
    /// new revision alone.</summary>
    /// <param name="also">As with <see cref="DeployAsync"/>, whose parameters these are.</param>
    public (Function? Now, Function Next) Plan(
        string name, FunctionSpec spec, int percent, string? tag, RolloutPlan? plan, string caller,
        Func<Function, Function> also)
    {
        Function? now = entries.GetValueOrDefault(name)?.Record;
        bool moves = now is not null && !IsSameProgram(spec, now);
        int share = now is null ? 100 : moves ? percent : now.Traffic.PercentOf(now.Newest.Number);
        Function next = also(
            now is null || !IsSame(spec, now) ? Deployed(name, now, spec, share, tag, moves ? plan : null, caller)
            : tag is null ? now
            : FunctionSteps.Route(now, now.Traffic.Tagged(tag, now.Newest.Number)));
        Hosts.Check(name, next.Edge.Hosts);
        return (now, next);
    }

    /// <summary>The revision that these settings would make now; null where the newest one has them already, but for
    /// how many instances there are.</summary>
    public Revision? Next(string name, FunctionSpec spec, string caller)
    {
        Function? function = entries.GetValueOrDefault(name)?.Record;
        return function is not null && IsSameProgram(spec, function)
            ? null
            : new Revision((function?.Newest.Number ?? 0) + 1, spec, time.GetUtcNow(), caller);
    }

    /// <summary>Begins a rollout. Throws what <see cref="RolloutSteps.Start"/> throws.</summary>
    /// <param name="revision">Null for the newest.</param>
    /// <param name="sticky">Whether callers keep their places in the shares; null for as it is.</param>
    public Task<FunctionEntry> RollOutAsync(
        string name, int? revision, RolloutPlan plan, bool? sticky, string caller,
        CancellationToken cancellationToken) => ChangeAsync(
        name,
        function =>
        {
            Function begun = RollOut(function, revision ?? function.Newest.Number, plan, caller);
            return FunctionSteps.Route(begun, begun.Traffic.Keeping(sticky ?? begun.Traffic.IsSticky));
        },
        cancellationToken);

    /// <summary>Throws <c>NotFound</c>, and what <paramref name="step"/> throws.</summary>
    public async Task<FunctionEntry> ChangeAsync(
        string name, Func<Function, Function> step, CancellationToken cancellationToken) =>
        (await ApplyAsync(name, old => step(old ?? Get(name).Record), cancellationToken)).Entry;

    /// <summary>Calls under way go on. Throws <c>NotFound</c>.</summary>
    public async Task RemoveAsync(string name, CancellationToken cancellationToken)
    {
        await changing.WaitAsync(cancellationToken);
        try
        {
            await StaleRecordsException.RetryAsync(
                async () =>
                {
                    Get(name);
                    await store.DeleteFunctionAsync(name, cancellationToken);
                    return name;
                },
                ReadAgainAsync, cancellationToken);
            Forget(name);
        }
        finally
        {
            changing.Release();
        }
    }

    private Function Deployed(
        string name, Function? old, FunctionSpec spec, int percent, string? tag, RolloutPlan? plan, string caller)
    {
        DateTimeOffset now = time.GetUtcNow();
        if (old is null)
        {
            ThrowIfTooMany();
            return FunctionSteps.Share(FunctionSteps.Create(name, spec, caller, now), 1, percent, tag);
        }

        bool same = IsSame(spec, old);
        if (!same && IsSameProgram(spec, old))
        {
            // Another number of instances of the same program makes no revision.
            old = FunctionSteps.Rescale(old, [old.Newest.Number], _ => spec.Service!.Scale);
            same = true;
        }

        if (plan is null)
        {
            return !same ? FunctionSteps.Deploy(old, spec, percent, tag, caller, now)
                : FunctionSteps.Share(old, old.Newest.Number, percent, tag);
        }

        Function next = !same ? FunctionSteps.Deploy(old, spec, 0, tag, caller, now)
            : tag is null ? old
            : FunctionSteps.Route(old, old.Traffic.Tagged(tag, old.Newest.Number));
        return next.Traffic.Shares is [var all] && all.Revision == next.Newest.Number
            ? next
            : RollOut(next, next.Newest.Number, plan, caller);
    }

    private async Task<(FunctionEntry Entry, Function? Before)> ApplyAsync(
        string name, Func<Function?, Function> step, CancellationToken cancellationToken)
    {
        await changing.WaitAsync(cancellationToken);
        try
        {
            return await StaleRecordsException.RetryAsync(
                () => ApplyOnceAsync(name, step, cancellationToken), ReadAgainAsync, cancellationToken);
        }
        finally
        {
            changing.Release();
        }
    }

    private async Task<(FunctionEntry Entry, Function? Before)> ApplyOnceAsync(
        string name, Func<Function?, Function> step, CancellationToken cancellationToken)
    {
        FunctionEntry? old = entries.GetValueOrDefault(name);
        Function next = step(old?.Record);
        if (old is not null && ReferenceEquals(next, old.Record))
        {
            return (old, old.Record);
        }

        Hosts.Check(name, next.Edge.Hosts);
        await store.PutAsync(next, cancellationToken);
        return (Take(next), old?.Record);
    }

    /// <summary>What is in the store becomes what calls see.</summary>
    private FunctionEntry Take(Function next)
    {
        FunctionEntry? old = entries.GetValueOrDefault(next.Name);
        FunctionEntry entry = new(next, PlacesOf(next, old));
        entries[next.Name] = entry;
        Hosts.Set(next.Name, old?.Record.Edge.Hosts ?? [], next.Edge.Hosts);
        Changed?.Invoke(next.Name, next);
        Revision newest = next.Newest;
        RunSpec run = RevisionRuns.Of(next.Name, newest);
        bool isReadied = !newest.Spec.Run.HasOwnFiles;
        if (!isReadied || newest.Spec.Service is not null)
        {
            ExpectingImage?.Invoke(run);
        }

        if (isReadied)
        {
            // The first call finds a sandbox ready.
            if (Expecting is { } expecting && newest.Spec.Service is null && run.Bridge is null)
            {
                expecting(run);
            }
            else
            {
                Expect(run);
            }
        }

        return entry;
    }

    private void Expect(RunSpec run)
    {
        NetworkDefinition? network = run.Bridge is { } use ? Networks?.Invoke(use) : null;
        if (run.Bridge is null || network is not null)
        {
            node.Expect(RunRooms.Shape(run, network));
        }
    }

    private void Forget(string name)
    {
        if (entries.TryRemove(name, out FunctionEntry? entry))
        {
            Hosts.Set(name, entry.Record.Edge.Hosts, []);
            Changed?.Invoke(name, null);
        }
    }

    private async Task ReadAgainAsync(CancellationToken cancellationToken)
    {
        Dictionary<string, Function> stored = (await store.AllFunctionsAsync(cancellationToken)).ToDictionary(
            f => f.Name, StringComparer.Ordinal);
        foreach (string gone in entries.Keys.Where(name => !stored.ContainsKey(name)))
        {
            Forget(gone);
        }

        foreach (Function function in stored.Values)
        {
            // One that is the same stays the object that it was: rollouts under way are known by it.
            if (entries.GetValueOrDefault(function.Name)?.Record is not { } now
                || !FunctionDocument.Write(now).AsSpan().SequenceEqual(FunctionDocument.Write(function)))
            {
                Take(function);
            }
        }
    }

    private static Dictionary<int, RunPlaces> PlacesOf(Function function, FunctionEntry? before) =>
        function.Revisions.Where(r => r.Spec.MaxRunning > 0).ToDictionary(
            r => r.Number,
            r => before?.Places.GetValueOrDefault(r.Number)
                ?? new RunPlaces(r.Spec.MaxRunning, r.Spec.MaxWaiting, "the function's max-running or max-waiting"));

    private Function RollOut(Function function, int revision, RolloutPlan plan, string caller)
    {
        CallTally before = meters.Recent(
            function.Name, function.Traffic.Shares.Select(s => s.Revision).Where(r => r != revision));
        TimeSpan? baseline = before.Calls >= RolloutPlan.BaselineCalls ? before.Quantile(RolloutJudge.Share) : null;
        return RolloutSteps.Start(function, revision, plan, caller, time.GetUtcNow(), baseline);
    }

    private void ThrowIfTooMany()
    {
        if (entries.Count >= MaxFunctions)
        {
            throw new BerthException(
                ErrorCode.QuotaExceeded, $"There are {entries.Count:N0} functions, and no more can be: remove some.");
        }
    }

    internal static bool IsSame(FunctionSpec spec, Function function) => FunctionDocument.Write(spec).AsSpan()
        .SequenceEqual(FunctionDocument.Write(function.Newest.Spec));

    /// <summary>But for how many instances of it there are.</summary>
    private static bool IsSameProgram(FunctionSpec spec, Function function) =>
        spec.Service is { } service && function.Newest.Spec.Service is { } now
            ? IsSame(spec with { Service = service with { Scale = now.Scale } }, function)
            : IsSame(spec, function);

    private static string Shown(string name) => name.Length > FunctionName.MaxLength
        ? name[..FunctionName.MaxLength] + "…"
        : name;
}
