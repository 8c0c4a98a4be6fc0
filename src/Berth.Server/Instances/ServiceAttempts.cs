using System.Globalization;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Functions;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Server.Forwarding;
using Berth.Server.Functions;
using Berth.Server.Lambda;
using Berth.Server.LambdaEndpoints;
using Berth.Server.Rollouts;
using Berth.Server.Runs;

namespace Berth.Server.Instances;

/// <summary>Begins the attempts of tasks that are calls of functions with instances: each gets a place in one of its
/// revision, and a connection of its own where the program is the one that listens.</summary>
/// <param name="eventLimit">Of an event, with the lambda contract.</param>
internal sealed class ServiceAttempts(
    FunctionManager functions, InstanceManager instances, ByteSize eventLimit, TimeProvider time)
{
    /// <summary>Between looks whether there is room in the line for an instance.</summary>
    private static readonly TimeSpan LinePause = TimeSpan.FromMilliseconds(250);

    /// <summary>As <see cref="RunRooms.Services"/>.</summary>
    public async Task<IAttempt> StartAsync(Run run, AttemptSpec order, CancellationToken cancellationToken)
    {
        ServiceCall call = run.Spec.Service!;
        (InstancePool pool, LambdaSpec? contract) = PoolOf(call);
        long since = time.GetTimestamp();
        if (contract is not null)
        {
            Instance instance = await EnterAsync(pool, run.Caller, cancellationToken);
            LambdaRoute route = new(
                pool, new RevisionKey(call.Function, call.Revision), run.Spec.Timeout, run.Caller);
            return new LambdaAttempt(
                order, call, contract,
                LambdaCall.Begin(route, instance, KeptEvent.IdOf(run.Id).ToString(), time), pool.Name, eventLimit,
                new AttemptPreparation(time.GetElapsedTime(since), TimeSpan.Zero, true, instance.Id.Text), time);
        }

        (Instance taken, ServiceConnection connection) = await ConnectAsync(pool, run.Caller, cancellationToken);
        try
        {
            HeaderField[] own =
            [
                new("Berth-Run-Id", run.Id.Text),
                new("Berth-Attempt", run.Attempts.ToString(CultureInfo.InvariantCulture)),
            ];
            RequestHead.Write(connection.NewHead(), call, own, run.Input.Length);
            AttemptPreparation preparation = new(
                time.GetElapsedTime(since), TimeSpan.Zero, true, taken.Id.Text);
            return new ServiceAttempt(order, call.Method, pool, taken, connection, preparation, time);
        }
        catch
        {
            connection.Dispose();
            pool.Leave(taken);
            throw;
        }
    }

    /// <summary>A place in an instance and a connection to it. One that has ended before it knows of the call is not
    /// what the call is tried with.</summary>
    private async Task<(Instance Instance, ServiceConnection Connection)> ConnectAsync(
        InstancePool pool, string caller, CancellationToken cancellationToken)
    {
        for (int tries = 1; ; tries++)
        {
            Instance instance = await EnterAsync(pool, caller, cancellationToken);
            try
            {
                // Never one that was used before, which the program may be closing: the request is sent once.
                return (instance, await instance.Connections.TakeAsync(fresh: true, cancellationToken));
            }
            catch (IOException error)
            {
                BerthException why = await instance.ExplainAsync(pool.Name, error);
                pool.Leave(instance);
                if (!instance.HasEnded || tries == InstancePool.MaxTries)
                {
                    throw why;
                }
            }
            catch
            {
                pool.Leave(instance);
                throw;
            }
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

    private (InstancePool Pool, LambdaSpec? Contract) PoolOf(ServiceCall call)
    {
        Function function = functions.Get(call.Function).Record;
        Revision revision = function.Find(call.Revision) ?? throw FunctionSteps.NoRevision(function, call.Revision);
        bool fits = revision.Spec.Service is { } service && (service.Lambda is not null || !call.IsEvent);
        return fits
            ? (instances.Of(function, revision), revision.Spec.Service!.Lambda)
            : throw new BerthException(
                ErrorCode.NotFound,
                $"Revision {call.Revision} of function '{call.Function}' has not the contract of this call: another "
                + "function has the name now.");
    }
}
