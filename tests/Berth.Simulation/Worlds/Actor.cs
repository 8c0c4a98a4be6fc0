using Berth.Core.Runs;

namespace Berth.Simulation.Worlds;

/// <summary>
/// A process of the simulated cluster: it gets messages and timers, can be killed and started anew without what it
/// knew, and stopped for a while. Its steady clock runs a little fast or slow and never jumps; its wall clock may.
/// </summary>
internal abstract class Actor
{
    private static readonly DateTimeOffset Epoch = new(2026, 1, 2, 12, 0, 0, TimeSpan.Zero);

    private readonly List<Action> held = [];
    private readonly double rate;
    private readonly TimeSpan offset;
    private TimeSpan jumped;
    private int life;

    protected Actor(World world, string name)
    {
        World = world;
        Name = name;
        rate = 1 + ((world.Random.NextDouble() - 0.5) * 0.004);
        offset = TimeSpan.FromMilliseconds(world.Random.Next(500));
    }

    public string Name { get; }

    public bool IsUp { get; private set; }

    public bool IsPaused { get; private set; }

    /// <summary>Whether what runs in it makes progress.</summary>
    public bool IsRunning => IsUp && !IsPaused;

    protected World World { get; }

    protected Random Random => World.Random;

    /// <summary>By its own steady clock.</summary>
    protected TimeSpan Steady => offset + (World.Time.Now * rate);

    protected RunMoment Moment => new(Epoch + Steady + jumped, Epoch + Steady);

    public void Start()
    {
        if (!IsUp)
        {
            IsUp = true;
            World.Tell($"{Name} starts");
            OnStart();
        }
    }

    /// <summary>It forgets everything, and what was on its way to it is lost.</summary>
    public void Kill()
    {
        if (IsUp)
        {
            World.Tell($"{Name} is killed");
            IsUp = false;
            IsPaused = false;
            held.Clear();
            life++;
            OnKill();
        }
    }

    public void Pause()
    {
        if (IsRunning)
        {
            World.Tell($"{Name} is paused");
            IsPaused = true;
        }
    }

    public void Resume()
    {
        if (!IsPaused)
        {
            return;
        }

        World.Tell($"{Name} goes on");
        IsPaused = false;
        OnResume();
        Action[] late = [.. held];
        held.Clear();
        foreach (Action act in late)
        {
            act();
        }
    }

    public void Jump(TimeSpan by) => jumped += by;

    /// <summary>A message arrives.</summary>
    public void Deliver(Action act)
    {
        if (IsPaused)
        {
            int now = life;
            held.Add(() => Run(now, act));
        }
        else if (IsUp)
        {
            act();
        }
    }

    /// <summary>Not in another life.</summary>
    protected void After(TimeSpan delay, Action act)
    {
        int now = life;
        World.Time.Add(delay, () =>
        {
            if (IsPaused && life == now)
            {
                held.Add(() => Run(now, act));
            }
            else
            {
                Run(now, act);
            }
        });
    }

    /// <summary>Again and again, from a moment drawn by chance on.</summary>
    protected void Every(TimeSpan interval, Action act)
    {
        void Turn()
        {
            act();
            After(interval, Turn);
        }

        After(interval * Random.NextDouble(), Turn);
    }

    protected abstract void OnStart();

    protected virtual void OnKill()
    {
    }

    /// <summary>Before anything that came meanwhile.</summary>
    protected virtual void OnResume()
    {
    }

    /// <summary>Asks another actor and gets its answer once, or learns that none came.</summary>
    protected void Ask<T>(Actor other, Func<T> question, Action<T> answered, Action? lost = null)
    {
        bool isOver = false;
        int now = life;
        World.Network.Send(this, other, () =>
        {
            T answer = question();
            World.Network.Send(other, this, () =>
            {
                if (!isOver && life == now)
                {
                    isOver = true;
                    answered(answer);
                }
            });
        });
        After(TimeSpan.FromSeconds(2), () =>
        {
            if (!isOver)
            {
                isOver = true;
                lost?.Invoke();
            }
        });
    }

    private void Run(int of, Action act)
    {
        if (life == of && IsUp)
        {
            act();
        }
    }
}
