using System.CommandLine;
using Berth.Api.Client;
using Berth.Api.Functions;
using Berth.Commands.Declarations;
using Berth.Core.Errors;
using Berth.Core.Functions;

namespace Berth.Commands.Development;

/// <summary><c>berth dev</c>: runs a function from a folder, again with every change, until Ctrl-C.</summary>
internal sealed class DevCommand : Verb
{
    /// <summary>Marks functions that this command made, which it may replace and remove.</summary>
    private const string DevProject = "berth-dev";

    /// <summary>For tidying up after Ctrl-C.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly Argument<string> folder = new("folder")
    {
        Description = "Folder with berth.yaml, a Dockerfile or an executable file named run",
        DefaultValueFactory = _ => ".",
    };

    private readonly Option<string?> name = new("--name")
    {
        HelpName = "NAME",
        Description = "Name of the function while it is worked on; that of berth.yaml or of the folder, with -dev, if "
            + "not given",
    };

    private readonly Option<string?> of = new("--function")
    {
        HelpName = "NAME",
        Description = "Which one, where berth.yaml has several",
    };

    public DevCommand()
        : base(
            "dev", "Run a function from a folder, again with every change, until Ctrl-C",
            new("berth dev", "The folder here"),
            new("berth dev --function shop services/", "One of several in services/berth.yaml"))
    {
        Add(name);
        Add(of);
        Add(folder);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        string path = Path.GetFullPath(session.Get(folder));
        if (!Directory.Exists(path))
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                $"'{session.Get(folder)}' is no folder: name the one that the function is in.");
        }

        DevSource source = new(path, session.Get(of), session.Get(name));
        DevFunction first = await source.ReadAsync(cancellationToken);
        await RefuseForeignAsync(session, first.Name, cancellationToken);
        try
        {
            await WorkAsync(session, source, first.Name, cancellationToken);
            return 0;
        }
        finally
        {
            await RemoveAsync(session, first);
        }
    }

    /// <summary>A function that somebody else made is not to be replaced.</summary>
    private static async Task RefuseForeignAsync(Session session, string function, CancellationToken cancellationToken)
    {
        FunctionView? there = (await session.Client.Functions.ListAsync(cancellationToken))
            .FirstOrDefault(f => f.Name == function);
        if (there is not null && there.Project != DevProject)
        {
            throw new BerthException(
                ErrorCode.Conflict,
                $"Function '{function}' is there already and was not made by 'berth dev': choose another name with "
                + "'--name'.");
        }
    }

    private static async Task WorkAsync(
        Session session, DevSource source, string function, CancellationToken cancellationToken)
    {
        using ChangeWatch changes = new(source.Folder, session.Terminal.Time);
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task following = Task.CompletedTask;
        bool isDeployed = false;
        try
        {
            while (true)
            {
                isDeployed |= await TryDeployAsync(session, source, function, isDeployed, cancellationToken);
                if (isDeployed && following.IsCompleted)
                {
                    following = FollowAsync(session, function, stop.Token);
                }

                string changed = await changes.NextAsync(cancellationToken);
                session.Say($"{changed} has changed.");
            }
        }
        finally
        {
            await stop.CancelAsync();
            await following;
        }
    }

    /// <summary>Whether it runs now; why not was told.</summary>
    private static async Task<bool> TryDeployAsync(
        Session session, DevSource source, string function, bool isThere, CancellationToken cancellationToken)
    {
        try
        {
            DevFunction now = await source.ReadAsync(cancellationToken);
            string image = await DevImage.MakeAsync(session, source.Folder, now, function, cancellationToken);
            FunctionDeployment made = await session.Client.Functions.DeployAsync(
                function, Request(now.Request, image), cancellationToken);
            Uri address = new(session.Target.Address, $"v1/functions/{function}/");
            session.Say(
                !made.Changed ? $"Nothing that matters to function {function} is different."
                : isThere ? $"Function {function} runs again, as revision {made.Revision}."
                : $"Function {function} runs. Call it: curl -H \"Authorization: Bearer $BERTH_TOKEN\" {address}");
            return true;
        }
        catch (BerthException refusal)
            when (refusal.Code is not (ErrorCode.Upstream or ErrorCode.Unauthorized or ErrorCode.Forbidden))
        {
            session.Terminal.Complain(refusal.Message);
            session.Say(isThere ? "What ran before goes on. Waiting for a change." : "Waiting for a change.");
            return false;
        }
    }

    /// <summary>All of its calls go to the newest at once, and nobody but who works on it calls it: hosts, rules and
    /// triggers are those of the function itself.</summary>
    private static FunctionRequest Request(FunctionRequest request, string image) => request with
    {
        Image = image,
        Traffic = null,
        Rollout = null,
        Tag = null,
        Matches = null,
        Sticky = null,
        Hosts = null,
        Public = null,
        Labels = new Dictionary<string, string>(request.Labels ?? new Dictionary<string, string>())
        {
            [Declaration.ProjectLabel] = DevProject,
        },
    };

    private static async Task FollowAsync(Session session, string function, CancellationToken cancellationToken)
    {
        try
        {
            await using Stream log = await session.Client.Functions.OpenLogsAsync(
                function, null, new LogOptions(Follow: true), cancellationToken);
            await log.CopyToAsync(session.Terminal.Output, cancellationToken);
        }
        catch (OperationCanceledException)
        {
            // The end.
        }
        catch (Exception e) when (e is IOException or HttpRequestException or BerthException)
        {
            // Begun again with the next change.
            session.Say($"berth: The log can't be followed any more: {e.Message}");
        }
    }

    /// <summary>The function, and the image that was made for it.</summary>
    private static async Task RemoveAsync(Session session, DevFunction function)
    {
        using CancellationTokenSource limit = new(Patience, session.Terminal.Time);
        await TryAsync(() => session.Client.Functions.RemoveAsync(function.Name, limit.Token));
        if (function.IsMade)
        {
            await TryAsync(() => session.Client.Images.RemoveAsync(DevImage.NameFor(function.Name), limit.Token));
        }

        session.Say($"Function {function.Name} is removed.");

        async Task TryAsync(Func<Task> remove)
        {
            try
            {
                await remove();
            }
            catch (BerthException e) when (e.Code is ErrorCode.NotFound or ErrorCode.ImageNotFound)
            {
                // Never came so far.
            }
            catch (Exception e) when (e is BerthException or OperationCanceledException)
            {
                session.Terminal.Complain(e.Message);
            }
        }
    }
}
