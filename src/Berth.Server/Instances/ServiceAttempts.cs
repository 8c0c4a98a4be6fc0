using System.Globalization;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Functions;
using Berth.Core.Runs;
using Berth.Server.Forwarding;
using Berth.Server.Functions;
using Berth.Server.Runs;

namespace Berth.Server.Instances;

/// <summary>Begins the attempts of tasks that are calls of functions with the http contract: each gets a place in an
/// instance of its revision and a connection of its own.</summary>
internal sealed class ServiceAttempts(FunctionManager functions, InstanceManager instances, TimeProvider time)
{
    /// <summary>Between looks whether there is room in the line for an instance.</summary>
    private static readonly TimeSpan LinePause = TimeSpan.FromMilliseconds(250);

    /// <summary>As <see cref="RunRooms.Services"/>.</summary>
    public async Task<IAttempt> StartAsync(Run run, AttemptSpec order, CancellationToken cancellationToken)
    {
        ServiceCall call = run.Spec.Service!;
        InstancePool pool = PoolOf(call);
        long since = time.GetTimestamp();
        Instance instance = await EnterAsync(pool, run.Caller, cancellationToken);
        try
        {
            // Never one that was used before, which the program may be closing: the request is sent once.
            ServiceConnection connection = await instance.Connections.TakeAsync(fresh: true, cancellationToken);
            HeaderField[] own =
            [
                new("Berth-Run-Id", run.Id.Text),
                new("Berth-Attempt", run.Attempts.ToString(CultureInfo.InvariantCulture)),
            ];
            RequestHead.Write(connection.NewHead(), call, own, run.Input.Length);
            AttemptPreparation preparation = new(time.GetElapsedTime(since), TimeSpan.Zero, true, instance.Id.Text);
            return new ServiceAttempt(order, call.Method, pool, instance, connection, preparation, time);
        }
        catch (Exception error)
        {
            pool.Leave(instance);
            if (error is IOException)
            {
                throw await instance.ExplainAsync(pool.Name, error);
            }

            throw;
        }
    }

    private async Task<Instance> EnterAsync(
        InstancePool pool, string caller, CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                return await pool.EnterAsync(caller, cancellationToken);
            }
            catch (BerthException error) when (error.Code == ErrorCode.QueueFull)
            {
                // That callers who wait fill the line is nothing that an attempt should be counted for.
                await Task.Delay(LinePause, time, cancellationToken);
            }
        }
    }

    private InstancePool PoolOf(ServiceCall call)
    {
        Function function = functions.Get(call.Function).Record;
        Revision revision = function.Find(call.Revision) ?? throw FunctionSteps.NoRevision(function, call.Revision);
        return revision.Spec.Service is null
            ? throw new BerthException(
                ErrorCode.NotFound,
                $"Revision {call.Revision} of function '{call.Function}' has the http contract no more: another "
                + "function has the name now.")
            : instances.Of(function, revision);
    }
}
